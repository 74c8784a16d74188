import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectionSettings } from "../../api/istio/index.ts";
import {
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpProtocolOptions_HeadersWithUnderscoresAction,
  type HttpConnectionManagerSchema,
} from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { durationOfMs } from "./envoy-any.ts";

type ConnectionManagerInit = Exclude<MessageInitShape<typeof HttpConnectionManagerSchema>, { $typeName: string }>;
type Options<Field extends keyof ConnectionManagerInit> = Exclude<
  NonNullable<ConnectionManagerInit[Field]>,
  { $typeName: string }
>;

/** The values of the profile EDGE, Envoy's recommendations for a proxy at the edge. */
const edgeDefaults: Omit<ConnectionSettings, "profile"> = {
  listenerBufferBytes: 32 << 10,
  idleTimeoutMs: 3_600_000,
  streamIdleTimeoutMs: 300_000,
  requestTimeoutMs: 300_000,
  headTimeoutMs: 60_000,
  maxConcurrentStreams: 100,
  streamWindowBytes: 64 << 10,
  connectionWindowBytes: 1 << 20,
  underscores: "REJECT_REQUEST",
  mergeSlashes: true,
  escapedSlashes: "UNESCAPE_AND_REDIRECT",
};

/** The settings for one proxy's connections with clients. Only gateways follow the profile. */
export function connectionSettingsOf(
  { connectionSettings: settings }: Pick<MeshSettings, "connectionSettings">,
  isGateway: boolean,
): ConnectionSettings | undefined {
  return settings?.profile === "EDGE" && isGateway ? { ...edgeDefaults, ...settings } : settings;
}

export function listenerBuffers(mesh: Pick<MeshSettings, "connectionSettings">): {
  perConnectionBufferLimitBytes?: number;
} {
  const bytes = connectionSettingsOf(mesh, true)?.listenerBufferBytes;
  return bytes === undefined ? {} : { perConnectionBufferLimitBytes: bytes };
}

/** The idle timeout of a TCP connection: that of the destination's policy, or else that of the proxy's variable. */
export function tcpIdleTimeout(
  { idleTimeoutMs }: Pick<MeshSettings, "idleTimeoutMs">,
  ofPolicyMs?: number,
): { idleTimeout?: ReturnType<typeof durationOfMs> } {
  const milliseconds = ofPolicyMs ?? idleTimeoutMs;
  return milliseconds === undefined ? {} : { idleTimeout: durationOfMs(milliseconds) };
}

/** The manager with these settings, which override the mesh's path normalization and the manager's other values. */
export function withConnectionSettings(
  manager: ConnectionManagerInit,
  settings: ConnectionSettings | undefined,
): ConnectionManagerInit {
  if (settings === undefined) return manager;
  const { requestTimeoutMs, headTimeoutMs, streamIdleTimeoutMs, drainTimeoutMs, mergeSlashes, escapedSlashes } =
    settings;
  return {
    ...manager,
    ...joined("commonHttpProtocolOptions", manager, {
      ...(settings.idleTimeoutMs === undefined ? {} : { idleTimeout: durationOfMs(settings.idleTimeoutMs) }),
      ...(settings.maxConnectionMs === undefined
        ? {}
        : { maxConnectionDuration: durationOfMs(settings.maxConnectionMs) }),
      ...(settings.maxStreamMs === undefined ? {} : { maxStreamDuration: durationOfMs(settings.maxStreamMs) }),
      ...(settings.underscores === undefined
        ? {}
        : { headersWithUnderscoresAction: HttpProtocolOptions_HeadersWithUnderscoresAction[settings.underscores] }),
    }),
    ...joined("http2ProtocolOptions", manager, {
      ...(settings.maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams: settings.maxConcurrentStreams }),
      ...(settings.streamWindowBytes === undefined ? {} : { initialStreamWindowSize: settings.streamWindowBytes }),
      ...(settings.connectionWindowBytes === undefined
        ? {}
        : { initialConnectionWindowSize: settings.connectionWindowBytes }),
    }),
    ...(requestTimeoutMs === undefined ? {} : { requestTimeout: durationOfMs(requestTimeoutMs) }),
    ...(headTimeoutMs === undefined ? {} : { requestHeadersTimeout: durationOfMs(headTimeoutMs) }),
    ...(streamIdleTimeoutMs === undefined ? {} : { streamIdleTimeout: durationOfMs(streamIdleTimeoutMs) }),
    ...(drainTimeoutMs === undefined ? {} : { drainTimeout: durationOfMs(drainTimeoutMs) }),
    ...(mergeSlashes === undefined ? {} : { mergeSlashes }),
    ...(escapedSlashes === undefined
      ? {}
      : { pathWithEscapedSlashesAction: HttpConnectionManager_PathWithEscapedSlashesAction[escapedSlashes] }),
  };
}

/**
 * Adds options to those of the manager. Without any, the result lacks the field, because Envoy gives an empty message a
 * meaning.
 */
function joined<Field extends "commonHttpProtocolOptions" | "http2ProtocolOptions">(
  field: Field,
  manager: ConnectionManagerInit,
  more: Options<Field>,
): ConnectionManagerInit {
  if (Object.keys(more).length === 0) return {};
  return { [field]: { ...(manager[field] as Options<Field> | undefined), ...more } };
}
