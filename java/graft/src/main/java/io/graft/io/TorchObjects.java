package io.graft.io;

import io.graft.io.Pickle.Name;
import io.graft.io.Pickle.Sequence;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** All that a pickle of PyTorch may name, and what is made of it: tensors as views of storages, which lie in files beside it. */
final class TorchObjects {
    static final int LONGEST_NAME = 256;

    private static final int MOST_DIMENSIONS = 8;
    private static final Name ORDERED = new Name("collections", "OrderedDict");
    private static final Name TENSOR = new Name("torch._utils", "_rebuild_tensor_v2");
    private static final Name PARAMETER = new Name("torch._utils", "_rebuild_parameter");
    private static final Map<Name, SafetensorsType> STORAGES = new HashMap<>();

    static {
        storage("DoubleStorage", SafetensorsType.F64);
        storage("FloatStorage", SafetensorsType.F32);
        storage("HalfStorage", SafetensorsType.F16);
        storage("BFloat16Storage", SafetensorsType.BF16);
        storage("LongStorage", SafetensorsType.I64);
        storage("IntStorage", SafetensorsType.I32);
        storage("ShortStorage", SafetensorsType.I16);
        storage("CharStorage", SafetensorsType.I8);
        storage("ByteStorage", SafetensorsType.U8);
        storage("BoolStorage", SafetensorsType.BOOL);
    }

    private static void storage(String name, SafetensorsType type) {
        STORAGES.put(new Name("torch", name), type);
    }

    /** A file of numbers. */
    record Storage(SafetensorsType type, String key, long elements) {}

    /** Numbers of a storage, all of which are there. */
    record TorchTensor(Storage storage, long offset, long[] shape, long[] strides) {
        long elements() {
            long count = 1;
            for (long size : shape) {
                count *= size;
            }
            return count;
        }

        boolean contiguous() {
            long expected = 1;
            for (int i = shape.length - 1; i >= 0; i--) {
                if (shape[i] != 1 && strides[i] != expected) {
                    return elements() == 0;
                }
                expected *= shape[i];
            }
            return true;
        }
    }

    private final String file;

    TorchObjects(String file) {
        this.file = file;
    }

    private FormatException refuse(String problem) {
        return new FormatException(file, "the pickle " + problem);
    }

    /** The name, if a pickle may use it. */
    Name allowed(Name name) {
        if (name.equals(ORDERED) || name.equals(TENSOR) || name.equals(PARAMETER) || STORAGES.containsKey(name)) {
            return name;
        }
        String said = name.toString();
        throw refuse("names " + (said.length() > LONGEST_NAME ? said.substring(0, LONGEST_NAME) + "…" : said)
                + ", which is not read: only tensors, dictionaries, lists, texts and numbers are");
    }

    /** What a persistent id stands for: ('storage', type, key, location, elements). */
    Storage storage(Object id) {
        if (id instanceof Sequence parts
                && parts.items().size() == 5
                && "storage".equals(parts.items().get(0))
                && parts.items().get(1) instanceof Name type
                && STORAGES.containsKey(type)
                && parts.items().get(2) instanceof String key
                && parts.items().get(4) instanceof Long elements
                && elements >= 0) {
            return new Storage(STORAGES.get(type), key, elements);
        }
        throw refuse("has a persistent id that is no storage");
    }

    /** What a function makes. */
    Object call(Name function, List<Object> given) {
        if (function.equals(ORDERED) && given.isEmpty()) {
            return new LinkedHashMap<>();
        }
        if (function.equals(TENSOR) && given.size() >= 6) {
            return tensor(given);
        }
        if (function.equals(PARAMETER) && given.size() >= 2 && given.get(0) instanceof TorchTensor tensor) {
            return tensor;
        }
        throw refuse("calls " + function + " with " + given.size() + " arguments, which is not read");
    }

    private TorchTensor tensor(List<Object> given) {
        if (!(given.get(0) instanceof Storage storage) || !(given.get(1) instanceof Long offset)) {
            throw refuse("has a tensor without a storage");
        }
        long[] shape = numbers(given.get(2));
        long[] strides = numbers(given.get(3));
        if (shape.length != strides.length || shape.length > MOST_DIMENSIONS) {
            throw refuse("has a tensor of " + shape.length + " sizes and " + strides.length + " strides");
        }
        long elements = 1;
        long end = offset;
        boolean fits = offset >= 0;
        try {
            for (int i = 0; i < shape.length; i++) {
                fits &= shape[i] >= 0 && strides[i] >= 0;
                elements = Math.multiplyExact(elements, shape[i]);
                end = Math.addExact(end, Math.multiplyExact(Math.max(0, shape[i] - 1), strides[i]));
            }
        } catch (ArithmeticException e) {
            fits = false;
        }
        // why elements too: strides of 0 make any number of elements out of one.
        if (!fits || elements > storage.elements() || (elements > 0 && end >= storage.elements())) {
            throw refuse("has a tensor " + Arrays.toString(shape) + " with strides "
                    + Arrays.toString(strides) + " from " + offset + " on, which storage '" + shown(storage.key())
                    + "' of " + storage.elements() + " elements does not hold");
        }
        return new TorchTensor(storage, offset, shape, strides);
    }

    private static String shown(String key) {
        return key.length() > 64 ? key.substring(0, 64) + "…" : key;
    }

    private long[] numbers(Object value) {
        if (!(value instanceof Sequence list) || !list.items().stream().allMatch(Long.class::isInstance)) {
            throw refuse("has a tensor whose shape or strides are no integers");
        }
        return list.items().stream().mapToLong(Long.class::cast).toArray();
    }
}
