package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * The {@code adapter_config.json} of PEQA (arXiv 2305.14152), which PEFT does not know: {@code peft_type} PEQA beside PEFT's
 * fields that select modules, those whose scales are trained, and the {@code bits} and {@code groups} of their sketches.
 */
public final class PeftPeqaConfig extends PeftConfig {
    private static final Set<Integer> WIDTHS = Set.of(2, 3, 4);

    private final int bits;
    private final int groups;

    PeftPeqaConfig(JsonFields fields) {
        super(fields, "PEQA", LlamaConfig.PROJECTIONS);
        this.bits = fields.positive("bits", 4);
        if (!WIDTHS.contains(bits)) {
            throw fields.refuse("bits", "is " + bits + ", supported are 2, 3 and 4");
        }
        this.groups = fields.positive("groups", 4);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of PEQA, or asks for what Graft does not compute
     */
    public static PeftPeqaConfig read(Path path) {
        return new PeftPeqaConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftPeqaConfig parse(String where, String json) {
        return new PeftPeqaConfig(JsonFields.parse(where, json));
    }

    /**
     * The scales of these modules.
     *
     * @param bits of a code, where the base is dense and becomes sketches when it is loaded
     * @param groups of columns of each row, likewise: so many scales
     */
    public static PeftPeqaConfig of(String baseModel, List<String> targets, int bits, int groups) {
        ObjectNode json = fresh("PEQA", baseModel, targets);
        json.put("bits", bits).put("groups", groups);
        return new PeftPeqaConfig(new JsonFields("new PEQA configuration", json));
    }

    /** The same for sketches as they were found. */
    public PeftPeqaConfig withSketches(int actualBits, int actualGroups) {
        ObjectNode json = json().deepCopy().put("bits", actualBits).put("groups", actualGroups);
        return new PeftPeqaConfig(new JsonFields("PEQA configuration", json));
    }

    /** Bits of a code of the base. */
    public int bits() {
        return bits;
    }

    /** Groups of columns of each row of the base. */
    public int groups() {
        return groups;
    }
}
