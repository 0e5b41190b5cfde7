/* A hidden value in 1 / 32768 as an 8-bit one. */
static int8_t net_hide(const net_gates *gates, int32_t value)
{
    const int32_t scaled = net_multiply(value, gates->hidden_multiplier, gates->hidden_shift);
    return (int8_t)net_clamp(scaled + gates->hidden_zero, -128, 127);
}
