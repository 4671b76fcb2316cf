package io.graft.io;

import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads the pickles in which PyTorch stores tensors, and runs nothing. A pickle is a program for a stack machine that may call
 * any function of Python; here it may name the few of {@link TorchObjects} alone, which make tensors of Java, and everything
 * else is refused by its name. Each byte adds at most one value and no value is ever copied, so that memory and time are
 * bounded by the length of the pickle.
 *
 * <p>Values: null, Boolean, Long, Double, String, {@link Sequence} (lists and tuples), {@code Map}, and what TorchObjects makes.
 */
final class Pickle {
    /** A list or a tuple; tuples are not appended to. */
    record Sequence(List<Object> items, boolean tuple) {}

    /** A name that a pickle calls by. */
    record Name(String module, String name) {
        @Override
        public String toString() {
            return module + "." + name;
        }
    }

    private final String file;
    private final ByteBuffer in;
    private final TorchObjects objects;
    private final List<Object> stack = new ArrayList<>();
    private final List<Integer> marks = new ArrayList<>();
    private final Map<Integer, Object> memo = new HashMap<>();

    private Pickle(String file, ByteBuffer bytes) {
        this.file = file;
        this.in = bytes.order(ByteOrder.LITTLE_ENDIAN);
        this.objects = new TorchObjects(file);
    }

    /**
     * The value of a pickle.
     *
     * @param file starts every complaint
     * @throws FormatException if it wants what is not allowed, or is no pickle
     */
    static Object read(String file, ByteBuffer bytes) {
        Pickle pickle = new Pickle(file, bytes);
        try {
            return pickle.run();
        } catch (BufferUnderflowException e) {
            throw pickle.refuse("ends early");
        }
    }

    private FormatException refuse(String problem) {
        return new FormatException(file, "byte " + in.position() + " of the pickle: " + problem);
    }

    private Object run() {
        while (true) {
            int opcode = in.get() & 0xff;
            if (opcode == '.') {
                return pop();
            }
            step(opcode);
        }
    }

    private void step(int opcode) {
        switch (opcode) {
            case 0x80 -> version(in.get() & 0xff); // PROTO
            case 0x95 -> in.getLong(); // FRAME
            case 'N' -> push(null);
            case 0x88 -> push(Boolean.TRUE);
            case 0x89 -> push(Boolean.FALSE);
            case 'K' -> push((long) (in.get() & 0xff)); // BININT1
            case 'M' -> push((long) (in.getShort() & 0xffff)); // BININT2
            case 'J' -> push((long) in.getInt()); // BININT
            case 0x8a -> push(integer(in.get() & 0xff)); // LONG1
            case 'G' -> push(Double.longBitsToDouble(Long.reverseBytes(in.getLong()))); // BINFLOAT
            case 0x8c -> push(text(in.get() & 0xff)); // SHORT_BINUNICODE
            case 'X' -> push(text(in.getInt() & 0xffffffffL)); // BINUNICODE
            case 0x8d -> push(text(in.getLong())); // BINUNICODE8
            case '(' -> marks.add(stack.size());
            case ')' -> push(new Sequence(List.of(), true));
            case ']' -> push(new Sequence(new ArrayList<>(), false));
            case '}' -> push(new LinkedHashMap<>());
            case 't' -> push(new Sequence(toMark(), true));
            case 0x85 -> push(new Sequence(last(1), true)); // TUPLE1
            case 0x86 -> push(new Sequence(last(2), true)); // TUPLE2
            case 0x87 -> push(new Sequence(last(3), true)); // TUPLE3
            case 'a' -> append(last(1));
            case 'e' -> append(toMark());
            case 's' -> put(last(2));
            case 'u' -> put(toMark());
            case 'q' -> memo.put(in.get() & 0xff, top()); // BINPUT
            case 'r' -> memo.put(in.getInt(), top()); // LONG_BINPUT
            case 0x94 -> memo.put(memo.size(), top()); // MEMOIZE
            case 'h' -> push(remembered(in.get() & 0xff)); // BINGET
            case 'j' -> push(remembered(in.getInt())); // LONG_BINGET
            case 'c' -> push(objects.allowed(new Name(line(), line()))); // GLOBAL
            case 0x93 -> push(objects.allowed(name(last(2)))); // STACK_GLOBAL
            case 'Q' -> push(objects.storage(pop())); // BINPERSID
            case 'R' -> call(last(2));
            case 'b' -> build(last(2));
            default ->
                throw refuse(String.format(
                        "the opcode 0x%02x%s is not read",
                        opcode, opcode > 32 && opcode < 127 ? " ('" + (char) opcode + "')" : ""));
        }
    }

    private void version(int version) {
        if (version < 2 || version > 5) {
            throw refuse("protocol " + version + ", 2 to 5 are read");
        }
    }

    private void push(Object value) {
        stack.add(value);
    }

    private int floor() {
        return marks.isEmpty() ? 0 : marks.get(marks.size() - 1);
    }

    private Object top() {
        if (stack.size() <= floor()) {
            throw refuse("takes a value that is not there");
        }
        return stack.get(stack.size() - 1);
    }

    private Object pop() {
        Object value = top();
        stack.remove(stack.size() - 1);
        return value;
    }

    private List<Object> last(int count) {
        Object[] values = new Object[count];
        for (int i = count - 1; i >= 0; i--) {
            values[i] = pop();
        }
        return Arrays.asList(values);
    }

    private List<Object> toMark() {
        if (marks.isEmpty()) {
            throw refuse("takes values up to a mark that is not there");
        }
        List<Object> above = stack.subList(marks.remove(marks.size() - 1), stack.size());
        List<Object> values = new ArrayList<>(above);
        above.clear();
        return values;
    }

    private void append(List<Object> values) {
        if (!(top() instanceof Sequence list) || list.tuple()) {
            throw refuse("appends to what is no list");
        }
        list.items().addAll(values);
    }

    private void put(List<Object> pairs) {
        if (pairs.size() % 2 != 0) {
            throw refuse("puts a key without a value");
        }
        Map<Object, Object> map = map(top());
        for (int i = 0; i < pairs.size(); i += 2) {
            Object key = pairs.get(i);
            // why: only what cannot hold itself, so that a key's hash ends.
            if (!(key instanceof String || key instanceof Long)) {
                throw refuse("a key is no text and no integer");
            }
            map.put(key, pairs.get(i + 1));
        }
    }

    @SuppressWarnings("unchecked")
    private Map<Object, Object> map(Object value) {
        if (!(value instanceof Map)) {
            throw refuse("puts a value into what is no dictionary");
        }
        return (Map<Object, Object>) value;
    }

    private Object remembered(int place) {
        if (!memo.containsKey(place)) {
            throw refuse("takes value " + place + ", which was not kept");
        }
        return memo.get(place);
    }

    private void call(List<Object> parts) {
        if (!(parts.get(0) instanceof Name name) || !(parts.get(1) instanceof Sequence given) || !given.tuple()) {
            throw refuse("calls what is no function");
        }
        push(objects.call(name, Collections.unmodifiableList(given.items())));
    }

    /** why nothing is kept: what Python would set are attributes of a dictionary, such as the versions of its modules. */
    private void build(List<Object> parts) {
        if (!(parts.get(0) instanceof Map)) {
            throw refuse("sets attributes of what is no dictionary");
        }
        push(parts.get(0));
    }

    private Name name(List<Object> parts) {
        if (parts.get(0) instanceof String module && parts.get(1) instanceof String name) {
            return new Name(module, name);
        }
        throw refuse("a name is no text");
    }

    private Long integer(int bytes) {
        if (bytes > Long.BYTES) {
            throw refuse("an integer of " + bytes + " bytes, up to 8 are read");
        }
        long value = 0;
        for (int i = 0; i < bytes; i++) {
            value |= (in.get() & 0xffL) << 8 * i;
        }
        int unused = Long.SIZE - 8 * bytes;
        return bytes == 0 ? 0 : value << unused >> unused;
    }

    private String text(long length) {
        if (length < 0 || length > in.remaining()) {
            throw refuse(
                    "a text of " + Long.toUnsignedString(length) + " bytes, of which " + in.remaining() + " are there");
        }
        ByteBuffer bytes = in.slice(in.position(), (int) length);
        in.position(in.position() + (int) length);
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
        } catch (CharacterCodingException e) {
            throw refuse("a text is not UTF-8");
        }
    }

    private String line() {
        int start = in.position();
        while (in.get() != '\n') {
            if (in.position() - start > TorchObjects.LONGEST_NAME) {
                throw refuse("a name of more than " + TorchObjects.LONGEST_NAME + " bytes");
            }
        }
        byte[] bytes = new byte[in.position() - 1 - start];
        in.get(start, bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
