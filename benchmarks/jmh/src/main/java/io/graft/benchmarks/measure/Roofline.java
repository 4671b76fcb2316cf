package io.graft.benchmarks.measure;

import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * The two limits of a machine, as they were measured in the same run.
 *
 * @param gigaflops of a product of large matrices, for each compute type
 * @param gigabytes that a copy moves in a second, reading and writing counted, or a read where that is more
 */
public record Roofline(Map<String, Double> gigaflops, double gigabytes) {
    /** Its stem, which is that of no op. */
    public static final String STEM = "roofline";

    public static final String GEMM = "gemm";
    public static final String COPY = "copy";
    public static final String READ = "read";

    /** The best that was seen of each: a machine that slows down for a while has no lower roof. */
    public static Roofline of(Collection<Row> rows) {
        Map<String, Double> flops = new TreeMap<>();
        double bytes = Double.NaN;
        for (Row row : timed(rows).toList()) {
            if (row.contender().startsWith(GEMM)) {
                flops.merge(row.parameters().getOrDefault("dtype", ""), fastest(row.flops(), row), Math::max);
            } else {
                double moved = fastest(row.bytes(), row);
                bytes = Double.isNaN(bytes) ? moved : Math.max(bytes, moved);
            }
        }
        return new Roofline(flops, bytes);
    }

    private static Stream<Row> timed(Collection<Row> rows) {
        return rows.stream().filter(row -> row.stem().equals(STEM) && row.isTimed());
    }

    private static double fastest(double amount, Row row) {
        return amount / row.milliseconds().lower() * 1e-6;
    }

    /** Which part of the speed that the roof allows a row reaches: 1 is the roof; NaN where no roof or cost is known. */
    public double share(Row row) {
        double compute =
                row.flops() / (gigaflops.getOrDefault(row.parameters().getOrDefault("dtype", ""), Double.NaN) * 1e6);
        double traffic = row.bytes() / (gigabytes * 1e6);
        double floor = Math.max(Double.isNaN(compute) ? 0 : compute, Double.isNaN(traffic) ? 0 : traffic);
        return floor > 0 ? floor / row.milliseconds().median() : Double.NaN;
    }
}
