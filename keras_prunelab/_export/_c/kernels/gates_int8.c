/* The weights of a recurrent layer, and the factors that bring their sums into 1 / 4096; the functions as curves; and
   how hidden values in 1 / 32768 become 8-bit ones. */
typedef struct {
    net_matrix kernel, recurrent;
    const int32_t *bias, *recurrent_bias;
    const int32_t *multipliers, *recurrent_multipliers;
    const int8_t *shifts, *recurrent_shifts;
    const int16_t *activation, *gate;
    int32_t hidden_multiplier;
    int hidden_shift, hidden_zero;
} net_gates;
