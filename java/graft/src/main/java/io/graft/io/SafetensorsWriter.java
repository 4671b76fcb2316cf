package io.graft.io;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.graft.tensor.DType;
import io.graft.tensor.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Writes safetensors files, byte for byte as the format's Python library does: tensors by falling width of their type,
 * then by name; the header padded with spaces so that the data start at a multiple of eight.
 */
public final class SafetensorsWriter {
    /** What the libraries for PyTorch put into every file. */
    public static final Map<String, String> PYTORCH = Map.of("format", "pt");

    private SafetensorsWriter() {}

    /**
     * Writes the tensors, streaming from their own memory; tensors of any strides are written row-major. The file
     * appears whole or not at all, see {@link AtomicFiles}.
     *
     * @throws java.io.UncheckedIOException if the file cannot be written; an older one is then untouched
     */
    public static void write(Path file, Map<String, Tensor> tensors, Map<String, String> metadata) {
        write(file, tensors, List.of(), metadata);
    }

    /**
     * @param carried tensors of any type whose values in {@code tensors} are their bytes, U8
     *     [{@link StoredTensor#bytes}] without gaps
     * @throws IllegalArgumentException if they are not; nothing is written then
     */
    public static void write(
            Path file, Map<String, Tensor> tensors, List<StoredTensor> carried, Map<String, String> metadata) {
        AtomicFiles.write(file, channel -> writeTo(channel, tensors, carried, metadata));
    }

    static void writeTo(
            WritableByteChannel channel,
            Map<String, Tensor> tensors,
            List<StoredTensor> carried,
            Map<String, String> metadata)
            throws IOException {
        Map<String, StoredTensor> all = new LinkedHashMap<>();
        tensors.forEach((name, tensor) -> all.put(name, StoredTensor.of(name, tensor)));
        for (StoredTensor each : carried) {
            expectBytes(each, tensors.get(each.name()));
            all.put(each.name(), each);
        }
        Collection<StoredTensor> stored = all.values();
        List<StoredTensor> ordered = ordered(stored);
        writeFully(channel, header(ordered, metadata));
        TensorTransfer transfer = new TensorTransfer(false);
        for (StoredTensor each : ordered) {
            Tensor tensor = tensors.get(each.name());
            transfer.move(tensor, tensor.dtype(), (buffer, at) -> writeFully(channel, buffer));
        }
    }

    private static void expectBytes(StoredTensor carried, Tensor values) {
        boolean fit = values != null
                && values.dtype() == DType.U8
                && values.elements() == carried.bytes()
                && values.isContiguous();
        if (!fit) {
            throw new IllegalArgumentException("the values of the carried '" + carried.name() + "' are " + values
                    + ", must be U8 [" + carried.bytes() + "] without gaps");
        }
    }

    /** The order in which the format's own library lays tensors down. */
    static List<StoredTensor> ordered(Collection<StoredTensor> tensors) {
        List<StoredTensor> ordered = new ArrayList<>(tensors);
        ordered.sort(Comparator.comparing(StoredTensor::type)
                .reversed()
                .thenComparing(StoredTensor::name, SafetensorsWriter::compareUtf8));
        return ordered;
    }

    /** Everything before the numbers, which follow each other in the order given. */
    static ByteBuffer header(List<StoredTensor> tensors, Map<String, String> metadata) throws IOException {
        ByteArrayOutputStream json = new ByteArrayOutputStream();
        try (JsonGenerator out = new JsonFactory().createGenerator(json)) {
            out.writeStartObject();
            if (!metadata.isEmpty()) {
                out.writeObjectFieldStart("__metadata__");
                // why: sorted, since the order of Map.of differs from run to run and equal contents shall give equal
                // bytes.
                for (Map.Entry<String, String> entry : new TreeMap<>(metadata).entrySet()) {
                    out.writeStringField(entry.getKey(), entry.getValue());
                }
                out.writeEndObject();
            }
            long offset = 0;
            for (StoredTensor tensor : tensors) {
                offset = describe(out, tensor, offset);
            }
            out.writeEndObject();
        }
        while (json.size() % Long.BYTES != 0) {
            json.write(' ');
        }
        if (json.size() > SafetensorsHeader.MAX_HEADER_BYTES) {
            throw new IOException(
                    "the header would take " + json.size() + " bytes, more than " + SafetensorsHeader.MAX_HEADER_BYTES);
        }
        return ByteBuffer.allocate(Long.BYTES + json.size())
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(json.size())
                .put(json.toByteArray())
                .flip();
    }

    private static long describe(JsonGenerator out, StoredTensor tensor, long offset) throws IOException {
        long end = Math.addExact(offset, tensor.bytes());
        out.writeObjectFieldStart(tensor.name());
        out.writeStringField("dtype", tensor.type().name());
        out.writeFieldName("shape");
        out.writeArray(tensor.shape(), 0, tensor.shape().length);
        out.writeFieldName("data_offsets");
        out.writeArray(new long[] {offset, end}, 0, 2);
        out.writeEndObject();
        return end;
    }

    /** The order of UTF-8 bytes, which is that of code points and not of Java's chars. */
    private static int compareUtf8(String a, String b) {
        return Arrays.compareUnsigned(a.getBytes(StandardCharsets.UTF_8), b.getBytes(StandardCharsets.UTF_8));
    }

    private static void writeFully(WritableByteChannel channel, ByteBuffer buffer) throws IOException {
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }
}
