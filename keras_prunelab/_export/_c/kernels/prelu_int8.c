/* Values below zero times a slope; there may be fewer slopes, which then count again and again. */
static void net_prelu(const net_prelu_scales *scales, int count, const int8_t *x, int slopes, const int32_t *multipliers,
                      const int8_t *shifts, int8_t *y)
{
    for (int i = 0; i < count; ++i) {
        const int32_t value = x[i] - scales->zero;
        const int32_t scaled = value > 0 ? net_multiply(value, scales->multiplier, scales->shift)
                                         : net_multiply(value, multipliers[i % slopes], shifts[i % slopes]);
        y[i] = (int8_t)net_clamp(scaled + scales->output_zero, -128, 127);
    }
}
