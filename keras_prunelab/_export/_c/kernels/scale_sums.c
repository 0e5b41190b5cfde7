/* Sums to 8-bit outputs. */
static void net_scale_sums(const net_scaling *scaling, const int32_t *sums, int count, int8_t *y)
{
    for (int i = 0; i < count; ++i) {
        const int32_t scaled = net_multiply(sums[i], scaling->multipliers[i], scaling->shifts[i]);
        y[i] = (int8_t)net_clamp(scaled + scaling->zero_point, scaling->low, scaling->high);
    }
}
