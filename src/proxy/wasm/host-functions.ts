import { buffers, maps, maxBuffer, maxLogLevel, maxMap, metricTypes, status, streams, type AbiVersion } from "./abi.ts";
import { MemoryFault, type GuestMemory } from "./guest-memory.ts";
import { maxOpenCalls, maxTextBytes, minTickMs } from "./limits.ts";
import type { MachineState } from "./machine-state.ts";
import type { SharedRequest } from "./messages.ts";
import { isFieldName, onOneLine, parsePairs, serializedSize, serializePairs, type Pairs } from "./pairs.ts";
import { propertyAt } from "./properties.ts";
import type { BodyBuffer, FieldMap } from "./stream-context.ts";

type Values = readonly number[];
type HostFunction = (memory: GuestMemory, values: Values) => number;
/** The functions that a module imports. Numbers are those of WebAssembly; a 64-bit value is a bigint. */
export type Imports = Record<string, (...values: never[]) => number | bigint | undefined>;

export interface HostFunctionOptions {
  readonly state: MachineState;
  readonly memoryOf: () => GuestMemory;
  readonly version: AbiVersion;
  readonly log: (level: number, text: string) => void;
  /** Called when the module has finished a context that it kept open after the end of its stream or plugin. */
  readonly done: (context: number) => boolean;
}

/** The functions of the ABI that a module imports from `env`. */
export function hostFunctions(options: HostFunctionOptions): Imports {
  const { memoryOf } = options;
  const plain: Record<string, HostFunction> = {
    ...contextFunctions(options),
    ...fieldFunctions(options),
    ...bufferFunctions(options),
    ...streamFunctions(options),
    ...callFunctions(options),
    ...sharedFunctions(options),
    ...metricFunctions(options),
    ...propertyFunctions(options),
  };
  const imports: Imports = {};
  for (const [name, run] of Object.entries(plain))
    imports[name] = (...values: Values) => {
      try {
        return run(memoryOf(), values);
      } catch (error) {
        if (error instanceof MemoryFault) return status.invalidMemoryAccess;
        throw error;
      }
    };
  return {
    ...imports,
    ...longFunctions(options),
    emscripten_notify_memory_growth: () => undefined,
    pthread_equal: (left: number, right: number) => (left === right ? 1 : 0),
  };
}

/**
 * The names of functions of the ABI that Serin does not implement. A module that imports them still runs, and calls to
 * them return "unimplemented".
 */
export const unimplementedFunctions: readonly string[] = [
  "proxy_grpc_call",
  "proxy_grpc_stream",
  "proxy_grpc_send",
  "proxy_grpc_cancel",
  "proxy_grpc_close",
];

function contextFunctions({ state, log, done }: HostFunctionOptions): Record<string, HostFunction> {
  const { host } = state;
  return {
    proxy_log: (memory, [level = 0, at = 0, size = 0]) => {
      if (level < 0 || level > maxLogLevel) return status.badArgument;
      log(level, memory.text(at, Math.min(size >>> 0, maxTextBytes)));
      return status.ok;
    },
    proxy_get_log_level: (memory, [at = 0]) => {
      memory.writeWord(at, host.logLevel());
      return status.ok;
    },
    proxy_get_current_time_nanoseconds: (memory, [at = 0]) => {
      memory.writeLong(at, host.nowNs());
      return status.ok;
    },
    proxy_set_tick_period_milliseconds: (_memory, [period = 0]) => {
      const { root } = state;
      const periodMs = period >>> 0;
      if (root !== undefined)
        host.tell({ kind: "tick", root: root.id, periodMs: periodMs === 0 ? 0 : Math.max(minTickMs, periodMs) });
      return status.ok;
    },
    proxy_set_effective_context: (_memory, [context = 0]) => {
      if (!state.knows(context)) return status.badArgument;
      state.effective = context;
      return status.ok;
    },
    proxy_done: () => (done(state.context) ? status.ok : status.notFound),
    proxy_get_status: (memory, [codeAt = 0, textAt = 0, sizeAt = 0]) => {
      memory.writeWord(codeAt, 0);
      memory.give(Buffer.alloc(0), textAt, sizeAt);
      return status.ok;
    },
    proxy_call_foreign_function: () => status.notFound,
  };
}

/** A map that the module may read now. Undefined if there is no such map. */
function readableMap(state: MachineState, map: number): Pick<FieldMap, "pairs"> | undefined {
  if (map === maps.callResponseHeaders) return state.callAnswer && { pairs: state.callAnswer.fields };
  if (map === maps.callResponseTrailers) return state.callAnswer && { pairs: state.callAnswer.trailers };
  return state.stream?.map(map);
}

function fieldFunctions({ state, version }: HostFunctionOptions): Record<string, HostFunction> {
  const change = (map: number, run: (fields: FieldMap) => void): number => {
    const fields = state.stream?.map(map);
    if (fields === undefined) return status.badArgument;
    run(fields);
    return status.ok;
  };
  return {
    proxy_get_header_map_size: (memory, [map = 0, sizeAt = 0]) => {
      const found = readableMap(state, map);
      if (found === undefined) return status.badArgument;
      memory.writeWord(sizeAt, serializedSize(found.pairs));
      return status.ok;
    },
    proxy_get_header_map_pairs: (memory, [map = 0, at = 0, sizeAt = 0]) => {
      if (map > maxMap) return status.badArgument;
      memory.give(serializePairs(readableMap(state, map)?.pairs ?? []), at, sizeAt);
      return status.ok;
    },
    proxy_set_header_map_pairs: (memory, [map = 0, at = 0, size = 0]) => {
      const pairs = parsePairs(memory.bytes(at, size));
      return pairs === undefined ? status.badArgument : change(map, (fields) => fields.setAll(pairs));
    },
    proxy_get_header_map_value: (memory, [map = 0, nameAt = 0, nameSize = 0, valueAt = 0, sizeAt = 0]) => {
      const found = readableMap(state, map);
      if (found === undefined) return status.badArgument;
      const name = memory.byteText(nameAt, nameSize).toLowerCase();
      const value = found.pairs.find(([other]) => other === name)?.[1];
      if (value === undefined && version !== "0.1.0") return status.notFound;
      memory.give(Buffer.from(value ?? "", "latin1"), valueAt, sizeAt);
      return status.ok;
    },
    proxy_add_header_map_value: (memory, [map = 0, nameAt = 0, nameSize = 0, valueAt = 0, valueSize = 0]) => {
      const name = memory.byteText(nameAt, nameSize).toLowerCase();
      const value = onOneLine(memory.byteText(valueAt, valueSize));
      return change(map, (fields) => {
        if (isFieldName(name)) fields.add(name, value);
      });
    },
    proxy_replace_header_map_value: (memory, [map = 0, nameAt = 0, nameSize = 0, valueAt = 0, valueSize = 0]) => {
      const name = memory.byteText(nameAt, nameSize).toLowerCase();
      const value = onOneLine(memory.byteText(valueAt, valueSize));
      return change(map, (fields) => {
        if (isFieldName(name)) fields.replace(name, value);
      });
    },
    proxy_remove_header_map_value: (memory, [map = 0, nameAt = 0, nameSize = 0]) => {
      const name = memory.byteText(nameAt, nameSize).toLowerCase();
      return change(map, (fields) => fields.remove(name));
    },
  };
}

function bufferFunctions({ state }: HostFunctionOptions): Record<string, HostFunction> {
  const readable = (type: number): Pick<BodyBuffer, "bytes"> | undefined => {
    switch (type) {
      case buffers.callResponseBody:
        return state.readOnly(state.callAnswer?.body);
      case buffers.vmConfiguration:
        return state.readOnly(state.options.configuration);
      case buffers.pluginConfiguration:
        return state.readOnly(state.configuration);
      default:
        return state.stream?.buffer(type);
    }
  };
  return {
    proxy_get_buffer_bytes: (memory, [type = 0, start = 0, size = 0, at = 0, sizeAt = 0]) => {
      if (type > maxBuffer) return status.badArgument;
      const buffer = readable(type);
      if (buffer === undefined) return status.notFound;
      const from = start >>> 0;
      const to = from + (size >>> 0);
      if (to > 0xffff_ffff + 1) return status.badArgument;
      memory.give(buffer.bytes.subarray(from, to), at, sizeAt);
      return status.ok;
    },
    proxy_get_buffer_status: (memory, [type = 0, sizeAt = 0, flagsAt = 0]) => {
      if (type > maxBuffer) return status.badArgument;
      const buffer = readable(type);
      if (buffer === undefined) return status.notFound;
      memory.writeWord(sizeAt, buffer.bytes.length);
      memory.writeWord(flagsAt, 0);
      return status.ok;
    },
    proxy_set_buffer_bytes: (memory, [type = 0, start = 0, size = 0, at = 0, valueSize = 0]) => {
      if (type > maxBuffer) return status.badArgument;
      const buffer = state.stream?.buffer(type);
      if (buffer === undefined) return readable(type) === undefined ? status.notFound : status.badArgument;
      buffer.set(start >>> 0, size >>> 0, memory.bytes(at, valueSize));
      return status.ok;
    },
    proxy_get_configuration: (memory, [at = 0, sizeAt = 0]) => {
      memory.give(state.configuration ?? state.options.configuration, at, sizeAt);
      return status.ok;
    },
  };
}

function streamFunctions({ state }: HostFunctionOptions): Record<string, HostFunction> {
  const goOn = (side: number): number => {
    const { stream } = state;
    if (side !== streams.request && side !== streams.response) return status.unimplemented;
    if (stream === undefined) return status.badArgument;
    const name = side === streams.request ? "request" : "response";
    const body = stream.body(name);
    state.effects.push({ kind: "continue", stream: stream.id, side: name, body: body.open ? body.take() : undefined });
    return status.ok;
  };
  return {
    proxy_continue_stream: (_memory, [side = 0]) => goOn(side),
    proxy_continue_request: () => goOn(streams.request),
    proxy_continue_response: () => goOn(streams.response),
    proxy_close_stream: (_memory, [side = 0]) => {
      const { stream } = state;
      if (side > 3) return status.badArgument;
      if (stream !== undefined) state.effects.push({ kind: "close", stream: stream.id });
      return status.ok;
    },
    proxy_clear_route_cache: () => {
      const { stream } = state;
      if (stream !== undefined) state.effects.push({ kind: "clear-route", stream: stream.id });
      return status.ok;
    },
    proxy_send_local_response: (
      memory,
      [
        code = 0,
        detailsAt = 0,
        detailsSize = 0,
        bodyAt = 0,
        bodySize = 0,
        fieldsAt = 0,
        fieldsSize = 0,
        grpcStatus = 0,
      ],
    ) => {
      const details = memory.text(detailsAt, Math.min(detailsSize >>> 0, maxTextBytes)).replaceAll(/\s/g, "_");
      const body = memory.bytes(bodyAt, bodySize);
      const fields = parsePairs(memory.bytes(fieldsAt, fieldsSize));
      const { stream } = state;
      if (fields === undefined || stream === undefined) return status.badArgument;
      const known = grpcStatus >= 0 && grpcStatus <= 16 ? grpcStatus : undefined;
      state.effects.push({
        kind: "reply",
        stream: stream.id,
        reply: { status: isFinalStatus(code) ? code : 500, details, body, fields, grpcStatus: known },
      });
      return status.ok;
    },
  };
}

/** Whether a status ends an exchange. After a 1xx status, the client would wait for another response. */
function isFinalStatus(code: number): boolean {
  return code >= 200 && code <= 599;
}

function callFunctions({ state }: HostFunctionOptions): Record<string, HostFunction> {
  return {
    proxy_http_call: (
      memory,
      [
        nameAt = 0,
        nameSize = 0,
        fieldsAt = 0,
        fieldsSize = 0,
        bodyAt = 0,
        bodySize = 0,
        trailersAt = 0,
        trailersSize = 0,
        timeout = 0,
        tokenAt = 0,
      ],
    ) => {
      const cluster = memory.text(nameAt, Math.min(nameSize >>> 0, maxTextBytes));
      const fields = parsePairs(memory.bytes(fieldsAt, fieldsSize));
      const body = memory.bytes(bodyAt, bodySize);
      const trailers = parsePairs(memory.bytes(trailersAt, trailersSize));
      memory.writeWord(tokenAt, 0);
      const { root } = state;
      if (fields === undefined || trailers === undefined || root === undefined || timeout < 0)
        return status.badArgument;
      if (!isRequest(fields) || state.host.ask({ kind: "has-cluster", name: cluster }).status !== status.ok)
        return status.badArgument;
      if (trailers.length > 0 || state.openCalls >= maxOpenCalls) return status.internalFailure;
      state.openCalls += 1;
      const token = state.nextToken();
      memory.writeWord(tokenAt, token);
      state.host.tell({
        kind: "call",
        root: root.id,
        token,
        call: { cluster, fields, body, timeoutMs: timeout >>> 0 },
      });
      return status.ok;
    },
  };
}

function isRequest(fields: Pairs): boolean {
  const has = (name: string): boolean => fields.some(([other]) => other === name);
  return has(":method") && has(":path") && (has(":authority") || has("host"));
}

function sharedFunctions({ state }: HostFunctionOptions): Record<string, HostFunction> {
  const ask = (request: SharedRequest): ReturnType<typeof state.host.ask> => state.host.ask(request);
  return {
    proxy_get_shared_data: (memory, [keyAt = 0, keySize = 0, valueAt = 0, sizeAt = 0, casAt = 0]) => {
      const found = ask({ kind: "get", key: memory.byteText(keyAt, keySize) });
      if (found.status !== status.ok) return found.status;
      memory.give(found.bytes ?? Buffer.alloc(0), valueAt, sizeAt);
      memory.writeWord(casAt, found.number ?? 0);
      return status.ok;
    },
    proxy_set_shared_data: (memory, [keyAt = 0, keySize = 0, valueAt = 0, valueSize = 0, cas = 0]) =>
      ask({
        kind: "set",
        key: memory.byteText(keyAt, keySize),
        value: memory.bytes(valueAt, valueSize),
        cas: cas >>> 0,
      }).status,
    proxy_register_shared_queue: (memory, [nameAt = 0, nameSize = 0, idAt = 0]) => {
      const made = ask({ kind: "register-queue", name: memory.byteText(nameAt, nameSize), root: state.root?.id ?? 0 });
      if (made.status === status.ok) memory.writeWord(idAt, made.number ?? 0);
      return made.status;
    },
    proxy_resolve_shared_queue: (memory, [vmAt = 0, vmSize = 0, nameAt = 0, nameSize = 0, idAt = 0]) => {
      const vmId = vmSize === 0 ? state.options.vmId : memory.byteText(vmAt, vmSize);
      const found = ask({ kind: "resolve-queue", vmId, name: memory.byteText(nameAt, nameSize) });
      if (found.status === status.ok) memory.writeWord(idAt, found.number ?? 0);
      return found.status;
    },
    proxy_enqueue_shared_queue: (memory, [queue = 0, at = 0, size = 0]) =>
      ask({ kind: "enqueue", queue: queue >>> 0, value: memory.bytes(at, size) }).status,
    proxy_dequeue_shared_queue: (memory, [queue = 0, at = 0, sizeAt = 0]) => {
      const found = ask({ kind: "dequeue", queue: queue >>> 0 });
      if (found.status === status.ok) memory.give(found.bytes ?? Buffer.alloc(0), at, sizeAt);
      return found.status;
    },
  };
}

function metricFunctions({ state }: HostFunctionOptions): Record<string, HostFunction> {
  return {
    proxy_define_metric: (memory, [type = 0, nameAt = 0, nameSize = 0, idAt = 0]) => {
      if (type > metricTypes.histogram || type < 0) return status.badArgument;
      const made = state.host.ask({
        kind: "define-metric",
        type,
        name: memory.text(nameAt, Math.min(nameSize >>> 0, maxTextBytes)),
      });
      if (made.status === status.ok) memory.writeWord(idAt, made.number ?? 0);
      return made.status;
    },
    proxy_get_metric: (memory, [id = 0, at = 0]) => {
      const found = state.host.ask({ kind: "get-metric", id: id >>> 0 });
      if (found.status === status.ok) memory.writeLong(at, found.long ?? 0n);
      return found.status;
    },
  };
}

/** The low bits of a metric's number are its type. */
function metricType(id: number): number {
  return id & 3;
}

function longFunctions({ state }: HostFunctionOptions): Imports {
  const changeMetric = (id: number, operation: "add" | "set" | "record", value: bigint): number => {
    state.host.tell({ kind: "metric", id: id >>> 0, operation, value });
    return status.ok;
  };
  return {
    proxy_increment_metric: (id: number, delta: bigint) => {
      if (metricType(id) === metricTypes.histogram || (metricType(id) === metricTypes.counter && delta <= 0n))
        return status.badArgument;
      return changeMetric(id, "add", delta);
    },
    proxy_record_metric: (id: number, value: bigint) => {
      const unsigned = BigInt.asUintN(64, value);
      const type = metricType(id);
      return changeMetric(
        id,
        type === metricTypes.histogram ? "record" : type === metricTypes.gauge ? "set" : "add",
        unsigned,
      );
    },
  };
}

function propertyFunctions({ state }: HostFunctionOptions): Record<string, HostFunction> {
  return {
    proxy_get_property: (memory, [pathAt = 0, pathSize = 0, valueAt = 0, sizeAt = 0]) => {
      const { plugin } = state.root ?? {};
      const value = propertyAt(
        {
          stream: state.stream,
          node: state.options.node,
          plugin: {
            plugin_name: plugin?.name ?? "",
            plugin_root_id: plugin?.rootId ?? "",
            plugin_vm_id: state.options.vmId,
          },
        },
        memory.text(pathAt, Math.min(pathSize >>> 0, maxTextBytes)),
      );
      if (value === undefined) return status.notFound;
      memory.give(value, valueAt, sizeAt);
      return status.ok;
    },
    proxy_set_property: (memory, [pathAt = 0, pathSize = 0, valueAt = 0, valueSize = 0]) => {
      const { stream } = state;
      if (stream === undefined) return status.notFound;
      const path = memory.text(pathAt, Math.min(pathSize >>> 0, maxTextBytes));
      const value = memory.bytes(valueAt, valueSize);
      stream.properties.set(path.replace(/\0$/, ""), value);
      state.effects.push({ kind: "property", stream: stream.id, path, value });
      return status.ok;
    },
  };
}
