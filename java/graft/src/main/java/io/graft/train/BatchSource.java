package io.graft.train;

import io.graft.model.Batch;

/** An endless stream of training batches that can be taken up again at any place. */
public interface BatchSource {
    /** Fills the batch with the next one, in place where its arrays fit. */
    void next(Batch into);

    /** Number of batches given so far. */
    long position();

    /** Continues as if so many batches had been given. */
    void seek(long position);
}
