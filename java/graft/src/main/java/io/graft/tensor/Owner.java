package io.graft.tensor;

/** What holds memory that views look at. */
interface Owner {
    /** Throws {@link IllegalStateException} naming the owner when its memory is gone. */
    void checkOpen();
}
