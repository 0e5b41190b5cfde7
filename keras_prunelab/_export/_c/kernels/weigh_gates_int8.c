static void net_weigh_gates(const net_gates *gates, const int8_t *x, const int8_t *hidden, int32_t *sums,
                            int32_t *recurrent)
{
    net_weigh(&gates->kernel, gates->bias, gates->multipliers, gates->shifts, x, sums);
    net_weigh(&gates->recurrent, gates->recurrent_bias, gates->recurrent_multipliers, gates->recurrent_shifts, hidden,
              recurrent);
}
