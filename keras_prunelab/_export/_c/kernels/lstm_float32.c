/* The gates stand one behind the other: input, forget, candidate, output. */
typedef struct {
    net_matrix kernel, recurrent;
    const float *bias;
    float (*activation)(float), (*gate)(float);
} net_lstm;

static void net_lstm_step(const net_lstm *layer, const float *x, float *gates, float *memory, float *hidden)
{
    const int units = layer->recurrent.columns;
    memcpy(gates, layer->bias, 4 * (size_t)units * sizeof *gates);
    layer->kernel.add_product(&layer->kernel, x, gates);
    layer->recurrent.add_product(&layer->recurrent, hidden, gates);
    for (int i = 0; i < units; ++i) {
        const float input = layer->gate(gates[i]), forget = layer->gate(gates[units + i]);
        const float candidate = layer->activation(gates[2 * units + i]), output = layer->gate(gates[3 * units + i]);
        memory[i] = forget * memory[i] + input * candidate;
        hidden[i] = output * layer->activation(memory[i]);
    }
}
