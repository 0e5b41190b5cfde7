/* What the candidate of a recurrent unit sees of the hidden values that the reset gate lets through. */
typedef struct {
    net_matrix recurrent;
    const int32_t *bias, *multipliers;
    const int8_t *shifts;
} net_candidate;

/* The gates stand one behind the other: update, reset, candidate. The reset gate acts before the recurrent matrix.
   `exact` has the hidden values in 1 / 32768. */
static void net_gru_before_step(const net_gates *gates, const net_candidate *candidate, const int8_t *x, int32_t *sums,
                                int32_t *recurrent, int8_t *reset, int16_t *exact, int8_t *hidden)
{
    const int units = gates->recurrent.columns;
    net_weigh_gates(gates, x, hidden, sums, recurrent);
    for (int i = 0; i < units; ++i) {
        const int32_t share = net_curve(gates->gate, sums[units + i] + recurrent[units + i]);
        reset[i] = net_hide(gates, net_divide((int64_t)share * exact[i], 15));
        sums[i] += recurrent[i];
    }
    net_weigh(&candidate->recurrent, candidate->bias, candidate->multipliers, candidate->shifts, reset, recurrent);
    for (int i = 0; i < units; ++i) {
        const int32_t update = net_curve(gates->gate, sums[i]);
        const int32_t fresh = net_curve(gates->activation, sums[2 * units + i] + recurrent[i]);
        const int64_t mixed = (int64_t)update * exact[i] + (int64_t)(32768 - update) * fresh;
        exact[i] = (int16_t)net_clamp(net_divide(mixed, 15), -32768, 32767);
        hidden[i] = net_hide(gates, exact[i]);
    }
}
