package io.graft.benchmarks.measure;

import io.graft.tensor.DType;
import java.util.Locale;
import java.util.Map;

/** Whether two contenders compute the same: the 2-norm of the difference of each result, over that of the result. */
final class Agreement {
    /** why: two ways to round in different places differ by a few units; what is wrong differs by a tenth and more. */
    private static final double F32 = 1e-4;

    private static final double BF16 = 2e-2;

    private Agreement() {}

    /** The first result that differs, in words; null where all agree. */
    static String difference(Map<String, float[]> expected, Map<String, float[]> actual, DType dtype) {
        for (Map.Entry<String, float[]> result : expected.entrySet()) {
            float[] other = actual.get(result.getKey());
            if (other == null) {
                return "it does not give " + result.getKey();
            }
            if (other.length != result.getValue().length) {
                return result.getKey() + " has " + other.length + " elements, not " + result.getValue().length;
            }
            double distance = distance(result.getValue(), other);
            double limit = dtype == DType.F32 ? F32 : BF16;
            if (!(distance <= limit)) {
                return String.format(
                        Locale.ROOT,
                        "%s differs by %.2g of its norm, more than %.2g",
                        result.getKey(),
                        distance,
                        limit);
            }
        }
        return null;
    }

    private static double distance(float[] expected, float[] actual) {
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < expected.length; i++) {
            double apart = (double) actual[i] - expected[i];
            difference += apart * apart;
            norm += (double) expected[i] * expected[i];
        }
        return difference == 0 ? 0 : Math.sqrt(difference / norm);
    }
}
