/* The gates stand one behind the other: update, reset, candidate. The reset gate acts before the recurrent matrix. */
typedef struct {
    net_matrix kernel, recurrent_gates, recurrent_candidate;
    const float *bias;
    float (*activation)(float), (*gate)(float);
} net_gru_before;

static void net_gru_before_step(const net_gru_before *layer, const float *x, float *gates, float *reset, float *hidden)
{
    const int units = layer->recurrent_gates.columns;
    memcpy(gates, layer->bias, 3 * (size_t)units * sizeof *gates);
    layer->kernel.add_product(&layer->kernel, x, gates);
    layer->recurrent_gates.add_product(&layer->recurrent_gates, hidden, gates);
    for (int i = 0; i < units; ++i) {
        reset[i] = layer->gate(gates[units + i]) * hidden[i];
    }
    layer->recurrent_candidate.add_product(&layer->recurrent_candidate, reset, gates + 2 * units);
    for (int i = 0; i < units; ++i) {
        const float update = layer->gate(gates[i]), candidate = layer->activation(gates[2 * units + i]);
        hidden[i] = update * hidden[i] + (1 - update) * candidate;
    }
}
