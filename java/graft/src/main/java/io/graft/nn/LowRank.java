package io.graft.nn;

/**
 * The low-rank part of a projection: {@code scale · drop(x) Aᵀ Bᵀ} with A [r, in] and B [out, r].
 *
 * @param a the down-projection
 * @param b the up-projection
 * @param scale alpha / r, or alpha / √r
 * @param dropout probability that an input of A is dropped in training
 * @param dropoutKey what tells this projection's dropout masks from those of its neighbours
 */
public record LowRank(Parameter a, Parameter b, double scale, double dropout, long dropoutKey) {
    public int rank() {
        return (int) a.value().size(0);
    }

    public boolean trainable() {
        return a.trainable() || b.trainable();
    }
}
