/* A function whose values are from -1 to 1, from 257 of them at equal distances between -8 and 8, with lines between
   them. x is in 1 / 4096, the value in 1 / 32768. */
static int32_t net_curve(const int16_t *curve, int32_t x)
{
    const int32_t place = net_clamp(x, -32768, 32767) + 32768;
    const int16_t *point = curve + place / 256;
    return point[0] + net_divide((int64_t)(point[1] - point[0]) * (place % 256), 8);
}
