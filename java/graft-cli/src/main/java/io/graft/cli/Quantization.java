package io.graft.cli;

import io.graft.tensor.Weight;

/** How a base model's linear layers are kept in memory. */
public enum Quantization {
    NONE(Weight.Kind.DENSE),
    NF4(Weight.Kind.NF4);

    /** What every command says about the option. */
    static final String DESCRIPTION = "nf4: frozen linear layers in 4 bits, as QLoRA has them (default: none).";

    private final Weight.Kind kind;

    Quantization(Weight.Kind kind) {
        this.kind = kind;
    }

    Weight.Kind kind() {
        return kind;
    }

    @Override
    public String toString() {
        return name().toLowerCase(java.util.Locale.ROOT);
    }
}
