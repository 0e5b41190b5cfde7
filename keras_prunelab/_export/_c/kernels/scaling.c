/* How sums become 8-bit outputs: a factor for each, as a number in 31 bits and a power of two, then a range. */
typedef struct {
    const int32_t *multipliers;
    const int8_t *shifts;
    int32_t zero_point, low, high;
} net_scaling;
