package io.graft.adapter;

import io.graft.io.PeftSketchTuneConfig;
import io.graft.io.SafetensorsFile;
import io.graft.nn.Attachment;
import io.graft.nn.Parameter;
import io.graft.nn.Projection;
import io.graft.nn.TrainedTable;
import io.graft.tensor.DType;
import io.graft.tensor.Memory;
import io.graft.tensor.OnHost;
import io.graft.tensor.Scope;
import io.graft.tensor.Tensor;
import io.graft.tensor.Weight;
import io.graft.tensor.WeightForm;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.zip.CRC32;

/**
 * SketchTune (arXiv 2410.06364): a few bits choose each weight out of a table of its row's group, and the tables are
 * trained. Over a checkpoint of sketches ({@code graft sketch}) those are trained; dense layers become sketches when they
 * are loaded, without calibration: each weight gets the nearest entry of the best table.
 *
 * <p>PEFT does not know this method. The files are like PEFT's: {@code adapter_config.json} with the type
 * {@code SKETCHTUNE}, and for each target {@code base_model.model.<module>.quant_grid} F32 [out, groups, entries] and
 * {@code .codes_crc32} I64 [1] of the codes that the table belongs to: over other codes the adapter is refused.
 */
public final class SketchTune extends PeftAdapter<PeftSketchTuneConfig> {
    private static final String GRID = ".quant_grid";
    private static final String CHECKSUM = ".codes_crc32";

    private final WeightForm fresh;
    private final Map<String, WeightForm> saved = new HashMap<>();

    private SketchTune(PeftSketchTuneConfig config, WeightForm fresh, Origin origin) {
        super(config, origin);
        this.fresh = fresh;
        if (origin.directory() != null) {
            readForms(origin.directory());
        }
    }

    private void readForms(Path source) {
        try (SafetensorsFile file = SafetensorsFile.open(source.resolve(FILE))) {
            for (String name : file.names()) {
                long[] shape = file.shape(name);
                if (name.startsWith(PREFIX) && name.endsWith(GRID) && shape.length == 3) {
                    String module = name.substring(PREFIX.length(), name.length() - GRID.length());
                    saved.put(module, new WeightForm(Weight.Kind.SKETCH, false, (int) shape[1], (int) shape[2]));
                }
            }
        }
    }

    /** Tables to be trained; where a layer is dense, it becomes a sketch of so many bits and groups of each row. */
    public static SketchTune create(PeftSketchTuneConfig config, int bits, int groups) {
        return new SketchTune(config, WeightForm.sketch(bits, groups), Origin.fresh(0));
    }

    /** An adapter from a directory, to be trained further. */
    public static SketchTune load(Path directory) {
        return new SketchTune(PeftSketchTuneConfig.read(directory), null, Origin.of(directory, true));
    }

    /** An adapter from a directory, without gradients. */
    public static SketchTune frozen(Path directory) {
        return new SketchTune(PeftSketchTuneConfig.read(directory), null, Origin.of(directory, false));
    }

    @Override
    public WeightForm form(String module) {
        return !config.targets(module) ? null : fresh != null ? fresh : saved.get(module);
    }

    @Override
    Attachment attachment(Scope scope, Projection projection) {
        String key = PREFIX + projection.module();
        Tensor table = projection.table();
        if (table == null) {
            throw new IllegalArgumentException("SketchTune: " + projection.module() + " is "
                    + projection.weight().kind() + "; it needs a base of sketches, or a dense one to make them of");
        }
        Tensor checksum = scope.tensor(Memory.ADAPTER, DType.I64, 1);
        long codes = checksum(projection.weight());
        if (fromFile()) {
            read(key + CHECKSUM, checksum);
            if (checksum.longs()[0] != codes) {
                throw new IllegalArgumentException("SketchTune: " + projection.module()
                        + " has other codes than those that its table was trained for; take the base of the training");
            }
            read(key + GRID, table);
        }
        constant(key + CHECKSUM, checksum.set(new long[] {codes}));
        return new TrainedTable(train(scope, new Parameter(key + GRID, table)));
    }

    /** The CRC-32 of the codes of a sketch. */
    static long checksum(Weight weight) {
        CRC32 sum = new CRC32();
        try (OnHost codes = OnHost.reading(weight.codes())) {
            sum.update(codes.buffer());
        }
        return sum.getValue();
    }
}
