package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of training in an intrinsic dimension (arXiv 2012.13255), which PEFT does not know:
 * {@code peft_type} INTRINSIC_SAID beside PEFT's fields that select modules, with the dimension and the seed of its maps.
 */
public final class PeftSaidConfig extends PeftConfig {
    private final int dimension;
    private final long seed;

    PeftSaidConfig(JsonFields fields) {
        super(fields, "INTRINSIC_SAID", LlamaConfig.PROJECTIONS);
        this.dimension = fields.positive("intrinsic_dimension");
        this.seed = fields.whole("projection_seed", 0);
        if (!modulesToSave().isEmpty()) {
            throw fields.refuse("modules_to_save", "is given, but the shared vector is all that is trained");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of an intrinsic dimension
     */
    public static PeftSaidConfig read(Path path) {
        return new PeftSaidConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftSaidConfig parse(String where, String json) {
        return new PeftSaidConfig(JsonFields.parse(where, json));
    }

    /** So many numbers for all these modules. */
    public static PeftSaidConfig of(String baseModel, List<String> targets, int dimension, long seed) {
        ObjectNode json = fresh("INTRINSIC_SAID", baseModel, targets);
        json.put("intrinsic_dimension", dimension).put("projection_seed", seed);
        return new PeftSaidConfig(new JsonFields("new intrinsic dimension configuration", json));
    }

    /** Numbers that are trained, beside one for each module. */
    public int dimension() {
        return dimension;
    }

    /** What the maps are made from. */
    public long seed() {
        return seed;
    }

    @Override
    public String toString() {
        return "PeftSaidConfig[intrinsic_dimension=" + dimension + ", target_modules=" + json().get("target_modules")
                + "]";
    }
}
