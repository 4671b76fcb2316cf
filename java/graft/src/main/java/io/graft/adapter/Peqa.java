package io.graft.adapter;

import io.graft.io.PeftPeqaConfig;
import io.graft.nn.Attachment;
import io.graft.nn.Projection;
import io.graft.nn.ScaledTable;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.WeightForm;
import java.nio.file.Path;

/**
 * PEQA (arXiv 2305.14152): of a quantised base the scales are trained and nothing else, here one for each table of a sketch, which
 * is a group of columns of a row. A dense base becomes sketches when it is loaded. PEFT does not know it. The file holds the
 * scales, which start at 1, and the checksum of the codes that they belong to. Merging leaves them in the tables.
 */
public final class Peqa extends PeftAdapter<PeftPeqaConfig> {
    private static final String SCALES = ".peqa_scale";
    private static final String CHECKSUM = ".codes_crc32";

    private Peqa(PeftPeqaConfig config, Origin origin) {
        super(config, origin);
    }

    /** Scales to be trained. */
    public static Peqa create(PeftPeqaConfig config) {
        return new Peqa(config, Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static Peqa load(Path directory) {
        return new Peqa(PeftPeqaConfig.read(directory), Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static Peqa frozen(Path directory) {
        return new Peqa(PeftPeqaConfig.read(directory), Origin.of(directory, false));
    }

    @Override
    public WeightForm form(String module) {
        return config.targets(module) ? WeightForm.sketch(config.bits(), config.groups()) : null;
    }

    @Override
    public boolean mergesIntoCodes() {
        return true;
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module();
        Tensor table = projection.table();
        if (table == null) {
            throw new IllegalArgumentException("Peqa: " + projection.module() + " is "
                    + projection.weight().kind() + "; it needs a base of sketches, or a dense one to make them of");
        }
        Tensor checksum = scope.tensor(Memory.ADAPTER, DType.I64, 1);
        long codes = SketchTune.checksum(projection.weight());
        Tensor scales = scope.tensor(Memory.ADAPTER, table.dtype(), table.size(0), table.size(1));
        if (fromFile()) {
            read(key + CHECKSUM, checksum);
            if (checksum.longs()[0] != codes) {
                throw new IllegalArgumentException(
                        "Peqa: " + projection.module()
                                + " has other codes than those that its scales were trained for; take the base of the training");
            }
        }
        config = config.withSketches(Long.numberOfTrailingZeros(table.size(2)), Math.toIntExact(table.size(1)));
        constant(key + CHECKSUM, checksum.set(new long[] {codes}));
        return new ScaledTable(scope, parameter(scope, key + SCALES, scales, PeftAdapter::ones), table, gradients());
    }
}
