/* The gates stand one behind the other: input, forget, candidate, output. The memory is in 1 / 2^memory_bits. */
static void net_lstm_step(const net_gates *gates, int memory_bits, const int8_t *x, int32_t *sums, int32_t *recurrent,
                          int16_t *memory, int8_t *hidden)
{
    const int units = gates->recurrent.columns;
    net_weigh_gates(gates, x, hidden, sums, recurrent);
    for (int i = 0; i < units; ++i) {
        const int32_t input = net_curve(gates->gate, sums[i] + recurrent[i]);
        const int32_t forget = net_curve(gates->gate, sums[units + i] + recurrent[units + i]);
        const int32_t candidate = net_curve(gates->activation, sums[2 * units + i] + recurrent[2 * units + i]);
        const int32_t output = net_curve(gates->gate, sums[3 * units + i] + recurrent[3 * units + i]);
        const int32_t kept = net_divide((int64_t)forget * memory[i], 15);
        const int32_t added = net_divide((int64_t)input * candidate, 30 - memory_bits);
        memory[i] = (int16_t)net_clamp(kept + added, -32768, 32767);
        const int32_t seen = net_curve(gates->activation, net_divide((int64_t)memory[i] * 4096, memory_bits));
        hidden[i] = net_hide(gates, net_divide((int64_t)output * seen, 15));
    }
}
