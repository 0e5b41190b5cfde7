/* `other` may be shorter: it then counts again and again. */
static void net_subtract(const net_sum_scales *scales, int count, const int8_t *x, int other_count, const int8_t *other,
                    int8_t *y)
{
    for (int i = 0; i < count; ++i) {
        const int32_t one = (x[i] - scales->zero) * (1 << 20);
        const int32_t two = (other[i % other_count] - scales->other_zero) * (1 << 20);
        const int32_t sum = net_multiply(one, scales->multiplier, scales->shift)
                            - net_multiply(two, scales->other_multiplier, scales->other_shift);
        const int32_t scaled = net_multiply(sum, scales->output_multiplier, scales->output_shift);
        y[i] = (int8_t)net_clamp(scaled + scales->output_zero, scales->low, scales->high);
    }
}
