package io.graft.io;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** The fields of an adapter_config.json that select modules, with PEFT's rules: the same for every kind of adapter. */
final class PeftTargets {
    /** What PEFT's default targets of most adapters are for Llama models. */
    static final List<String> LLAMA = List.of("q_proj", "v_proj");

    private final boolean allLinear;
    private final ModuleMatcher targets;
    private final ModuleMatcher excluded;
    private final List<Integer> layers;
    private final List<String> layerContainers;
    private final List<String> modulesToSave;

    /** @param defaults the targets where none are named */
    PeftTargets(JsonFields fields, List<String> defaults) {
        JsonNode target = fields.node("target_modules");
        this.allLinear = target != null && ModuleMatcher.ALL_LINEAR.equalsIgnoreCase(target.textValue());
        this.targets = target == null || allLinear
                ? new ModuleMatcher(defaults, null)
                : ModuleMatcher.of(fields, "target_modules");
        this.excluded = ModuleMatcher.of(fields, "exclude_modules");
        this.layers = fields.integers("layers_to_transform");
        this.layerContainers = fields.texts("layers_pattern");
        for (String container : layerContainers) {
            ModuleMatcher.compile(fields, "layers_pattern", container);
        }
        if (layers.isEmpty() && !layerContainers.isEmpty()) {
            throw fields.refuse("layers_pattern", "is given without layers_to_transform");
        }
        if (!layers.isEmpty() && !allLinear && targets.pattern() != null) {
            throw fields.refuse("layers_to_transform", "cannot stand beside a target_modules that is an expression");
        }
        this.modulesToSave = fields.texts("modules_to_save");
    }

    boolean targets(String module) {
        if (excluded.matches(module) || saves(module)) {
            return false;
        }
        boolean found = allLinear ? !isHead(module) : targets.matches(module);
        return found && (layers.isEmpty() || layers.contains(ModuleMatcher.layerOf(module, layerContainers)));
    }

    boolean saves(String module) {
        return modulesToSave.stream().anyMatch(name -> module.equals(name) || module.endsWith("." + name));
    }

    boolean allLinear() {
        return allLinear;
    }

    List<String> modulesToSave() {
        return modulesToSave;
    }

    private static boolean isHead(String module) {
        return module.equals("lm_head") || module.endsWith(".lm_head");
    }

    /** A field of values for the modules that match a key. */
    static final class Values<T> {
        private final Map<Pattern, T> patterns = new LinkedHashMap<>();
        private final T otherwise;

        interface Field<T> {
            T read(JsonFields fields, String name);
        }

        Values(JsonFields fields, String field, Field<T> value, T otherwise) {
            this.otherwise = otherwise;
            JsonFields child = fields.child(field);
            if (child != null) {
                for (String key : child.names()) {
                    patterns.put(ModuleMatcher.compile(fields, field, "(.*\\.)?(" + key + ")"), value.read(child, key));
                }
            }
        }

        Collection<T> all() {
            return patterns.values();
        }

        /** The value of the first pattern that matches, in the file's order. */
        T of(String module) {
            for (Map.Entry<Pattern, T> entry : patterns.entrySet()) {
                if (entry.getKey().matcher(module).matches()) {
                    return entry.getValue();
                }
            }
            return otherwise;
        }
    }
}
