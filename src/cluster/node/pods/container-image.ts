import type { Container, ContainerState } from "../../../api/kubernetes/index.ts";
import { messageOf, SerinError } from "../../../base/index.ts";
import type { ResolvedImage } from "../../images/index.ts";
import type { PodHost } from "./pod-host.ts";

/** The image of a container, or the waiting state that says why it has none. */
export type ContainerImage = { readonly image: ResolvedImage } | { readonly failed: ContainerState };

export type ReportEvent = (type: "Normal" | "Warning", reason: string, message: string) => void;

/**
 * Finds the image according to the pull policy. Reports the same events as a kubelet that pulls an image. Never throws.
 */
export async function resolveContainerImage(
  { image: name = "", imagePullPolicy, command, args }: Container,
  { images, clock }: Pick<PodHost, "images" | "clock">,
  report: ReportEvent,
): Promise<ContainerImage> {
  const beganMs = clock.steadyMs();
  const pulls = imagePullPolicy === "Always" || !images.has(name);
  if (pulls) report("Normal", "Pulling", `Pulling image "${name}"`);
  try {
    const image = await images.resolve({ image: name, command, args });
    const tookMs = Math.max(1, Math.round(clock.steadyMs() - beganMs));
    const pulled = pulls
      ? `Successfully pulled image "${name}" in ${tookMs}ms (${tookMs}ms including waiting). Image size: 0 bytes.`
      : `Container image "${name}" already present on machine`;
    report("Normal", "Pulled", pulled);
    return { image };
  } catch (error) {
    const message = messageOf(error);
    const isInvalid = error instanceof SerinError && error.code === "image-name-invalid";
    const reason = isInvalid ? "InvalidImageName" : "ErrImagePull";
    report("Warning", "Failed", `Failed to pull image "${name}": ${message}`);
    report("Warning", "Failed", `Error: ${reason}`);
    return { failed: { waiting: { reason, message } } };
  }
}
