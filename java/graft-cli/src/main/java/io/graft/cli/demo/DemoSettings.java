package io.graft.cli.demo;

import io.graft.cli.Precision;
import io.graft.tensor.Context;
import java.nio.file.Path;

/**
 * What the user asked of the demo.
 *
 * @param minutes time for all of it
 * @param fresh train the base model even if it is cached
 * @param out folder of the results
 * @param cache folder of the sources and the base model
 * @param threads null: one per core
 * @param baseSteps null: as time allows
 * @param steps null: as time allows
 */
public record DemoSettings(
        double minutes,
        boolean fresh,
        Path out,
        Path cache,
        Precision precision,
        Integer threads,
        Integer baseSteps,
        Integer steps,
        long seed) {

    Context openContext() {
        return threads == null ? Context.cpu() : Context.cpu(threads);
    }
}
