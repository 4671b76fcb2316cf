package io.graft.benchmarks;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** 256 MiB of a file in the page cache into memory outside the heap: by reading, as checkpoints are, or by mapping. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(2)
public class ReadOrMapBenchmark {
    private static final int BYTES = 256 << 20;

    private Path file;
    private ByteBuffer target;

    @Setup
    public void write() throws IOException {
        file = Files.createTempFile("graft-read-or-map", ".bin");
        target = ByteBuffer.allocateDirect(BYTES);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            while (target.hasRemaining()) {
                channel.write(target);
            }
        }
    }

    @TearDown
    public void delete() throws IOException {
        Files.delete(file);
    }

    @Benchmark
    public ByteBuffer read() throws IOException {
        target.clear();
        try (FileChannel channel = FileChannel.open(file)) {
            while (target.hasRemaining() && channel.read(target) > 0) {}
        }
        return target;
    }

    @Benchmark
    public ByteBuffer mapAndCopy() throws IOException {
        target.clear();
        try (FileChannel channel = FileChannel.open(file)) {
            target.put(channel.map(FileChannel.MapMode.READ_ONLY, 0, BYTES));
        }
        return target;
    }
}
