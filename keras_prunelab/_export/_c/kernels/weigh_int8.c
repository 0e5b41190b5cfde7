/* weights * x + bias, in 1 / 4096. */
static void net_weigh(const net_matrix *weights, const int32_t *bias, const int32_t *multipliers, const int8_t *shifts,
                      const int8_t *x, int32_t *sums)
{
    memcpy(sums, bias, (size_t)weights->rows * sizeof *sums);
    weights->add_product(weights, x, sums);
    for (int i = 0; i < weights->rows; ++i) {
        sums[i] = net_clamp(net_multiply(sums[i], multipliers[i], shifts[i]), -(1 << 20), 1 << 20);
    }
}
