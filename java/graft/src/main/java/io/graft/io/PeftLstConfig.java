package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of a ladder side network (arXiv 2206.06522), which PEFT does not know: {@code peft_type} LST
 * and what the model's widths are divided by.
 */
public final class PeftLstConfig extends PeftConfig {
    private final int reduction;

    PeftLstConfig(JsonFields fields) {
        super(fields, "LST", List.of());
        this.reduction = fields.positive("reduction_factor", 8);
        if (!modulesToSave().isEmpty()) {
            throw fields.refuse("modules_to_save", "is given, but the side network is all that is trained");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a side network
     */
    public static PeftLstConfig read(Path path) {
        return new PeftLstConfig(fields(path));
    }

    /** As {@link #read}, of JSON in memory; {@code where} starts every complaint. */
    public static PeftLstConfig parse(String where, String json) {
        return new PeftLstConfig(JsonFields.parse(where, json));
    }

    /** A network of a so-manieth of the model's widths. */
    public static PeftLstConfig of(String baseModel, int reduction) {
        ObjectNode json = fresh("LST", baseModel);
        json.put("reduction_factor", reduction);
        return new PeftLstConfig(new JsonFields("new side network configuration", json));
    }

    /** What the model's widths are divided by. */
    public int reduction() {
        return reduction;
    }

    @Override
    public String toString() {
        return "PeftLstConfig[reduction_factor=" + reduction + "]";
    }
}
