/* The zeros of input and output, and the factor of values above zero. */
typedef struct {
    int32_t zero, output_zero;
    int32_t multiplier;
    int shift;
} net_prelu_scales;
