package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/**
 * A kind of decoder that {@code model_type} of a {@code config.json} names. Each is one file: which fields it has and what
 * they are where they are absent, what it refuses, and the {@link DecoderDesign} that its blocks are made from.
 */
public abstract class Architecture {
    /** Llama 1 to 3.x. */
    public static final Architecture LLAMA = new LlamaArchitecture();

    private static final List<Architecture> ALL = List.of(
            LLAMA,
            new MistralArchitecture(),
            new Qwen2Architecture(),
            new Qwen3Architecture(),
            new Starcoder2Architecture(),
            new GptBigCodeArchitecture(),
            new CodeGenArchitecture());

    private final String type;
    private final String className;
    private final ModuleNames names;

    /**
     * @param type {@code model_type}
     * @param className the class of transformers with a head for language modelling
     */
    Architecture(String type, String className, ModuleNames names) {
        this.type = type;
        this.className = className;
        this.names = names;
    }

    /** Reads a configuration of this architecture. */
    abstract LlamaConfig read(LlamaConfigReader reader);

    /** Writes the fields that not every architecture has. */
    abstract void write(LlamaConfig config, ObjectNode json);

    /** The architecture that a configuration names; any other is refused. */
    static Architecture of(JsonFields fields) {
        String wanted = fields.text("model_type");
        for (Architecture architecture : ALL) {
            if (architecture.type.equals(wanted)) {
                List<String> classes = fields.texts("architectures");
                if (!classes.isEmpty() && !classes.equals(List.of(architecture.className))) {
                    throw fields.refuse(
                            "architectures",
                            "is " + classes + ", supported for '" + wanted + "' is " + architecture.className);
                }
                return architecture;
            }
        }
        throw fields.refuse(
                "model_type",
                "is '" + wanted + "', supported are "
                        + ALL.stream().map(Architecture::type).toList());
    }

    /** {@code model_type}. */
    public String type() {
        return type;
    }

    /** What {@code architectures} lists. */
    public String className() {
        return className;
    }

    /** Paths of its modules. */
    public ModuleNames names() {
        return names;
    }

    @Override
    public String toString() {
        return type;
    }
}
