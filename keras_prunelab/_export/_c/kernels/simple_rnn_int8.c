static void net_simple_rnn_step(const net_gates *gates, const int8_t *x, int32_t *sums, int32_t *recurrent,
                                int8_t *hidden)
{
    net_weigh_gates(gates, x, hidden, sums, recurrent);
    for (int i = 0; i < gates->recurrent.columns; ++i) {
        hidden[i] = net_hide(gates, net_curve(gates->activation, sums[i] + recurrent[i]));
    }
}
