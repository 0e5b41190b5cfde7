/* value / 2^bits, rounded to the nearest. */
static int32_t net_divide(int64_t value, int bits)
{
    const int64_t half = ((int64_t)1 << bits) / 2;
    return (int32_t)(bits == 0 ? value : value >= 0 ? (value + half) >> bits : -((half - value) >> bits));
}
