package io.graft.io;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

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
            new Phi3Architecture(),
            new Gemma2Architecture(),
            new Gemma3Architecture(),
            new Gemma3MultimodalArchitecture(),
            GlmArchitecture.first(),
            GlmArchitecture.second(),
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

    /** The last names of the linear layers of a block. */
    public List<String> projections() {
        return Stream.of(names.q(), names.k(), names.v(), names.o(), names.gate(), names.up(), names.down())
                .filter(Objects::nonNull)
                .map(ModuleNames::last)
                .distinct()
                .toList();
    }

    /** What (IA)³ scales where nothing is named: PEFT's choice or, where PEFT has none, the like of it. */
    public List<String> scaledModules() {
        String down = ModuleNames.ending(names.down());
        return names.k() == null
                ? List.of(ModuleNames.ending(names.q()), down)
                : List.of(ModuleNames.ending(names.q()), ModuleNames.ending(names.v()), down);
    }

    /** The last layer of attention and that of the MLP. */
    public List<String> lastModules() {
        return Stream.of(names.o(), names.down())
                .map(ModuleNames::last)
                .distinct()
                .toList();
    }

    /** The norms. */
    public List<String> norms() {
        return Stream.of(
                        names.attentionNorm(),
                        names.attentionPostNorm(),
                        names.mlpNorm(),
                        names.mlpPostNorm(),
                        ModuleNames.last(names.norm()))
                .filter(Objects::nonNull)
                .toList();
    }

    /** Whether a module is the last layer of attention or of an MLP, in any architecture. */
    public static boolean endsHalf(String module) {
        return ALL.stream().anyMatch(one -> one.lastModules().contains(ModuleNames.last(module)));
    }

    /** Modules of its checkpoints that are not computed: their tensors are only carried from one checkpoint to another. */
    public List<String> unused() {
        return List.of();
    }

    /** The module of {@link #unused} that a tensor belongs to, or null. */
    public final String unusedPart(String tensor) {
        return unused().stream()
                .filter(module -> tensor.startsWith(module + "."))
                .findFirst()
                .orElse(null);
    }

    /** The tensors of a checkpoint that belong to those. */
    public final List<String> unused(TensorSource checkpoint) {
        return checkpoint.names().stream()
                .filter(name -> unusedPart(name) != null)
                .toList();
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
