package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The {@code adapter_config.json} of adapters that belong together: {@code peft_type} COMBINED and {@code adapters}, the
 * names of the folders beside it, of which each is an adapter's. PEFT loads those one by one.
 */
public final class PeftCombinedConfig {
    private final ObjectNode json;
    private final List<String> folders;

    private PeftCombinedConfig(JsonFields fields) {
        this.json = fields.object();
        if (!"COMBINED".equals(fields.text("peft_type"))) {
            throw fields.refuse("peft_type", "is '" + fields.text("peft_type") + "', supported is 'COMBINED'");
        }
        this.folders = folders(fields);
    }

    /** The field {@code adapters}: names of folders beside the file. */
    static List<String> folders(JsonFields fields) {
        List<String> folders = new ArrayList<>();
        JsonNode names = fields.node("adapters");
        if (names == null || !names.isArray()) {
            throw fields.refuse("adapters", "is " + names + ", expected a list of folders");
        }
        for (JsonNode name : names) {
            // why: a folder elsewhere could be anyone's.
            if (!name.isTextual() || !name.asText().matches("[\\w+-][\\w.+-]*") || folders.contains(name.asText())) {
                throw fields.refuse("adapters", "has " + name + ", which is not the name of another folder beside it");
            }
            folders.add(name.asText());
        }
        return List.copyOf(folders);
    }

    /**
     * Reads an {@code adapter_config.json}, or that of a directory.
     *
     * @throws FormatException if it is not that of combined adapters
     */
    public static PeftCombinedConfig read(Path path) {
        return new PeftCombinedConfig(PeftConfig.fields(path));
    }

    /** A new configuration. */
    public static PeftCombinedConfig of(List<String> folders) {
        ObjectNode json = Json.newObject().put("peft_type", "COMBINED");
        json.set("adapters", Json.toNode(folders));
        return new PeftCombinedConfig(new JsonFields("new combined configuration", json));
    }

    /** The names of the adapters' folders. */
    public List<String> folders() {
        return folders;
    }

    /** Writes {@code adapter_config.json} into a directory, atomically. */
    public void write(Path directory) {
        AtomicFiles.write(directory.resolve(PeftConfig.FILE), PythonJson.write(json));
    }
}
