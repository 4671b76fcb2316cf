package io.graft.interop;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Writes a model of ONNX that consists of Gemm nodes: onnx.proto's messages, field by field. */
final class OnnxModel {
    private static final int FLOAT = 1;

    private final ByteArrayOutputStream graph = new ByteArrayOutputStream();

    OnnxModel() {
        text(graph, 2, "lora");
    }

    /** output = alpha · P Q + C, P and Q transposed where asked; c may be null. */
    OnnxModel gemm(String output, double alpha, String p, boolean transP, String q, boolean transQ, String c) {
        ByteArrayOutputStream node = new ByteArrayOutputStream();
        text(node, 1, p);
        text(node, 1, q);
        if (c != null) {
            text(node, 1, c);
        }
        text(node, 2, output);
        text(node, 4, "Gemm");
        ByteArrayOutputStream factor = new ByteArrayOutputStream();
        text(factor, 1, "alpha");
        factor.write(2 << 3 | 5);
        factor.writeBytes(ByteBuffer.allocate(Float.BYTES)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putFloat((float) alpha)
                .array());
        number(factor, 20, 1);
        message(node, 5, factor);
        message(node, 5, flag("transA", transP));
        message(node, 5, flag("transB", transQ));
        message(graph, 1, node);
        return this;
    }

    OnnxModel input(String name, int rows, int columns) {
        return value(11, name, rows, columns);
    }

    OnnxModel output(String name, int rows, int columns) {
        return value(12, name, rows, columns);
    }

    byte[] bytes() {
        ByteArrayOutputStream opset = new ByteArrayOutputStream();
        number(opset, 2, 13);
        ByteArrayOutputStream model = new ByteArrayOutputStream();
        number(model, 1, 8);
        message(model, 8, opset);
        message(model, 7, graph);
        return model.toByteArray();
    }

    private OnnxModel value(int field, String name, int... shape) {
        ByteArrayOutputStream sizes = new ByteArrayOutputStream();
        for (int size : shape) {
            ByteArrayOutputStream dimension = new ByteArrayOutputStream();
            number(dimension, 1, size);
            message(sizes, 1, dimension);
        }
        ByteArrayOutputStream tensor = new ByteArrayOutputStream();
        number(tensor, 1, FLOAT);
        message(tensor, 2, sizes);
        ByteArrayOutputStream type = new ByteArrayOutputStream();
        message(type, 1, tensor);
        ByteArrayOutputStream value = new ByteArrayOutputStream();
        text(value, 1, name);
        message(value, 2, type);
        message(graph, field, value);
        return this;
    }

    private static ByteArrayOutputStream flag(String name, boolean set) {
        ByteArrayOutputStream attribute = new ByteArrayOutputStream();
        text(attribute, 1, name);
        number(attribute, 3, set ? 1 : 0);
        number(attribute, 20, 2);
        return attribute;
    }

    private static void text(ByteArrayOutputStream out, int field, String value) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.writeBytes(value.getBytes(StandardCharsets.UTF_8));
        message(out, field, bytes);
    }

    private static void message(ByteArrayOutputStream out, int field, ByteArrayOutputStream value) {
        varint(out, field << 3 | 2);
        varint(out, value.size());
        out.writeBytes(value.toByteArray());
    }

    private static void number(ByteArrayOutputStream out, int field, int value) {
        varint(out, field << 3);
        varint(out, value);
    }

    private static void varint(ByteArrayOutputStream out, int value) {
        int rest = value;
        while (rest >= 0x80) {
            out.write(rest & 0x7f | 0x80);
            rest >>>= 7;
        }
        out.write(rest);
    }
}
