/* The gates stand one behind the other: update, reset, candidate. The reset gate acts behind the recurrent matrix. */
typedef struct {
    net_matrix kernel, recurrent;
    const float *bias, *recurrent_bias;
    float (*activation)(float), (*gate)(float);
} net_gru;

static void net_gru_step(const net_gru *layer, const float *x, float *gates, float *recurrent, float *hidden)
{
    const int units = layer->recurrent.columns;
    memcpy(gates, layer->bias, 3 * (size_t)units * sizeof *gates);
    layer->kernel.add_product(&layer->kernel, x, gates);
    memcpy(recurrent, layer->recurrent_bias, 3 * (size_t)units * sizeof *recurrent);
    layer->recurrent.add_product(&layer->recurrent, hidden, recurrent);
    for (int i = 0; i < units; ++i) {
        const float update = layer->gate(gates[i] + recurrent[i]);
        const float reset = layer->gate(gates[units + i] + recurrent[units + i]);
        const float candidate = layer->activation(gates[2 * units + i] + reset * recurrent[2 * units + i]);
        hidden[i] = update * hidden[i] + (1 - update) * candidate;
    }
}
