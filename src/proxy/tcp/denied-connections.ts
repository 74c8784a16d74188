import type { Clock } from "../../base/index.ts";
import type { ByteStream } from "../../net/index.ts";

const lingerMs = 1_000;
const maxLingering = 256;
const maxDroppedBytes = 64 << 10;

/**
 * Ends connections that a policy denies, in a way that the client sees as an ordinary end and not as a reset, as with
 * Envoy.
 *
 * The kernel resets a connection that is closed with unread bytes (RFC 1122, 4.2.2.13), so this class first reads and
 * drops some of them. A connection lingers for at most a second and 64 KiB. While 256 connections linger, further ones
 * are closed at once.
 */
export class DeniedConnections {
  readonly #clock: Clock;
  #lingering = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes over a paused stream and ends it. */
  end(stream: ByteStream): void {
    const lingers = this.#lingering < maxLingering;
    let droppedBytes = 0;
    const timer = lingers ? this.#clock.after(lingerMs, () => stream.destroy()) : undefined;
    if (lingers) this.#lingering += 1;
    stream.setHandler({
      data: (bytes) => {
        droppedBytes += bytes.length;
        if (droppedBytes > maxDroppedBytes) stream.destroy();
      },
      end: () => stream.destroy(),
      drain: () => undefined,
      close: () => {
        timer?.[Symbol.dispose]();
        if (lingers) this.#lingering -= 1;
      },
    });
    if (!lingers) return stream.destroy();
    stream.resume();
    stream.end();
  }
}
