/* The zeros of both inputs and the output, the range of the output, and a factor for each, as LiteRT takes them. */
typedef struct {
    int32_t zero, other_zero, output_zero, low, high;
    int32_t multiplier;
    int shift;
    int32_t other_multiplier;
    int other_shift;
    int32_t output_multiplier;
    int output_shift;
} net_sum_scales;
