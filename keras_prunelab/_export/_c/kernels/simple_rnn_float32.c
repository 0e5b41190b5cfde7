typedef struct {
    net_matrix kernel, recurrent;
    const float *bias;
    float (*activation)(float);
} net_simple_rnn;

static void net_simple_rnn_step(const net_simple_rnn *layer, const float *x, float *sums, float *hidden)
{
    const int units = layer->recurrent.columns;
    memcpy(sums, layer->bias, (size_t)units * sizeof *sums);
    layer->kernel.add_product(&layer->kernel, x, sums);
    layer->recurrent.add_product(&layer->recurrent, hidden, sums);
    for (int i = 0; i < units; ++i) {
        hidden[i] = layer->activation(sums[i]);
    }
}
