/* `other` may be shorter: it then counts again and again. */
static void net_multiply_values(const net_product_scales *scales, int count, const int8_t *x, int other_count,
                                const int8_t *other, int8_t *y)
{
    for (int i = 0; i < count; ++i) {
        const int32_t product = (x[i] - scales->zero) * (other[i % other_count] - scales->other_zero);
        const int32_t scaled = net_multiply(product, scales->multiplier, scales->shift);
        y[i] = (int8_t)net_clamp(scaled + scales->output_zero, scales->low, scales->high);
    }
}
