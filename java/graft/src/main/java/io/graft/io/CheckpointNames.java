package io.graft.io;

import java.util.Collection;

/**
 * Names of tensors in files beside those of the modules that hold them. They differ in models of several towers, which are
 * still written as transformers had them before version 4.52: {@code language_model.model.layers.0…} is of the module
 * {@code model.language_model.layers.0}, {@code vision_tower…} of {@code model.vision_tower}.
 *
 * @param older whether the files have the names of before
 */
record CheckpointNames(boolean older) {
    private static final String[][] OLDER_AND_MODULES = {
        {"language_model.model.", "model.language_model."},
        {"language_model.lm_head.", "lm_head."},
        {"vision_tower.", "model.vision_tower."},
        {"multi_modal_projector.", "model.multi_modal_projector."}
    };

    /** Those of a checkpoint whose files hold these tensors. */
    static CheckpointNames of(Collection<String> stored) {
        return new CheckpointNames(stored.stream().anyMatch(name -> name.startsWith("language_model.")));
    }

    /** The name by the module of a tensor that files call so. */
    String module(String stored) {
        return older ? replaced(stored, 0, 1) : stored;
    }

    /** What files call the tensor that its module names so. */
    String stored(String module) {
        return older ? replaced(module, 1, 0) : module;
    }

    private static String replaced(String name, int from, int to) {
        for (String[] pair : OLDER_AND_MODULES) {
            if (name.startsWith(pair[from])) {
                return pair[to] + name.substring(pair[from].length());
            }
        }
        return name;
    }
}
