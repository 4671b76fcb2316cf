package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;

/**
 * The {@code adapter_config.json} of a fusion of bottleneck adapters (AdapterFusion, arXiv 2005.00247), which PEFT does not
 * have: {@code peft_type} ADAPTER_FUSION, {@code target_modules}, and in {@code adapters} the folders beside the file that
 * the adapters are in.
 */
public final class PeftFusionConfig extends PeftConfig {
    private final List<String> folders;

    PeftFusionConfig(JsonFields fields) {
        super(fields, "ADAPTER_FUSION", PeftBottleneckConfig.SERIAL_TARGETS);
        this.folders = PeftCombinedConfig.folders(fields);
        if (folders.size() < 2) {
            throw fields.refuse("adapters", "names " + folders + ", expected at least two");
        }
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of a fusion of adapters
     */
    public static PeftFusionConfig read(Path path) {
        return new PeftFusionConfig(fields(path));
    }

    /** A fusion of adapters in these folders, at the modules that this one of them has. */
    public static PeftFusionConfig of(String baseModel, List<String> folders, PeftBottleneckConfig like) {
        ObjectNode json = fresh("ADAPTER_FUSION", baseModel);
        json.set("adapters", Json.toNode(folders));
        for (String field : List.of("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")) {
            if (like.json().hasNonNull(field)) {
                json.set(field, like.json().get(field));
            }
        }
        return new PeftFusionConfig(new JsonFields("new fusion configuration", json));
    }

    /** The folders of the adapters, beside the file. */
    public List<String> folders() {
        return folders;
    }

    @Override
    public String toString() {
        return "PeftFusionConfig[adapters=" + folders + ", target_modules=" + json().get("target_modules") + "]";
    }
}
