package io.graft.tensor;

/**
 * How a linear layer's weight is, or is to be, stored.
 *
 * @param kind dense, or which codes
 * @param nested NF4: whether the scales are quantised once more
 * @param groups sketch: tables of a row
 * @param entries sketch: values of a table, 16, 8 or 4
 */
public record WeightForm(Weight.Kind kind, boolean nested, int groups, int entries) {
    public static final WeightForm DENSE = new WeightForm(Weight.Kind.DENSE, false, 0, 0);

    /** NF4, double quantised. */
    public static final WeightForm NF4 = new WeightForm(Weight.Kind.NF4, true, 0, 0);

    /** Codes of 4, 3 or 2 bits into a table for each of a row's groups. */
    public static WeightForm sketch(int bits, int groups) {
        if (bits < 2 || bits > 4) {
            throw new IllegalArgumentException("a sketch has 2, 3 or 4 bits, not " + bits);
        }
        return new WeightForm(Weight.Kind.SKETCH, false, groups, 1 << bits);
    }

    /** The usual form of a kind that needs no more to be said. */
    public static WeightForm of(Weight.Kind kind) {
        return switch (kind) {
            case DENSE -> DENSE;
            case NF4 -> NF4;
            case SKETCH -> throw new IllegalArgumentException("a sketch needs its bits and groups");
        };
    }
}
