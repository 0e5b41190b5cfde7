/* sum * multiplier / 2^31 * 2^shift, rounded to the nearest, as LiteRT does it. */
static int32_t net_multiply(int32_t sum, int32_t multiplier, int shift)
{
    const int left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    const int64_t product = (int64_t)sum * ((int64_t)1 << left) * multiplier;
    const int64_t nudge = product >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30);
    return net_divide((product + nudge) / ((int64_t)1 << 31), right);
}
