/* The gates stand one behind the other: update, reset, candidate. The reset gate acts behind the recurrent matrix.
   `exact` has the hidden values in 1 / 32768. */
static void net_gru_step(const net_gates *gates, const int8_t *x, int32_t *sums, int32_t *recurrent, int16_t *exact,
                         int8_t *hidden)
{
    const int units = gates->recurrent.columns;
    net_weigh_gates(gates, x, hidden, sums, recurrent);
    for (int i = 0; i < units; ++i) {
        const int32_t update = net_curve(gates->gate, sums[i] + recurrent[i]);
        const int32_t reset = net_curve(gates->gate, sums[units + i] + recurrent[units + i]);
        const int32_t inner = net_divide((int64_t)reset * recurrent[2 * units + i], 15);
        const int32_t candidate = net_curve(gates->activation, sums[2 * units + i] + inner);
        const int64_t mixed = (int64_t)update * exact[i] + (int64_t)(32768 - update) * candidate;
        exact[i] = (int16_t)net_clamp(net_divide(mixed, 15), -32768, 32767);
        hidden[i] = net_hide(gates, exact[i]);
    }
}
