/* sum * multiplier / 2^31 * 2^shift, rounded to the nearest, as LiteRT does it. */
static int32_t net_multiply(int32_t sum, int32_t multiplier, int shift)
{
    const int64_t wide = shift > 0 ? (int64_t)sum * ((int64_t)1 << shift) : sum;
    const int64_t product = (wide > INT32_MAX ? INT32_MAX : wide < -INT32_MAX ? -INT32_MAX : wide) * multiplier;
    const int64_t nudge = product >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30);
    return net_divide((product + nudge) / ((int64_t)1 << 31), shift > 0 ? 0 : -shift);
}
