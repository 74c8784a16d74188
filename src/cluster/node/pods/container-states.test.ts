import assert from "node:assert/strict";
import { test } from "node:test";
import { userError } from "../../../base/index.ts";
import { crashLoopBackoff, endedState, explainsDelay, imagePullBackoff, startFailure } from "./container-states.ts";

const end = {
  exitCode: 0,
  lost: false,
  message: "",
  startedAt: "2026-01-01T00:00:00Z",
  finishedAt: "2026-01-01T00:01:00Z",
  containerId: "serin://1",
};

test("a back-off and a failed start explain a delay, and a failed pull or an ended run do not yet", () => {
  for (const state of [imagePullBackoff("app", "gone"), crashLoopBackoff("app", "web_shop", 1_000), startFailure("x")])
    assert.equal(explainsDelay(state), true, state.waiting?.reason);
  for (const state of [{ waiting: { reason: "ErrImagePull" } }, endedState(end), { running: {} }])
    assert.equal(explainsDelay(state), false);
});

test("a delay is shown in whole seconds, as the kubelet does", () => {
  assert.deepEqual(crashLoopBackoff("app", "web_shop", 1_600).waiting, {
    reason: "CrashLoopBackOff",
    message: "back-off 2s restarting failed container=app pod=web_shop",
  });
});

test("a start that the user's configuration prevents has another reason than one that fails", () => {
  assert.equal(startFailure(userError("not-found", "no such key")).waiting?.reason, "CreateContainerConfigError");
  assert.deepEqual(startFailure(new Error("no space")).waiting, {
    reason: "CreateContainerError",
    message: "no space",
  });
});

test("an end without a message of the program has none, and the message of an unobserved end says so", () => {
  assert.deepEqual(endedState(end).terminated, {
    exitCode: 0,
    reason: "Completed",
    startedAt: end.startedAt,
    finishedAt: end.finishedAt,
    containerID: "serin://1",
  });
  assert.deepEqual(
    [
      endedState({ ...end, exitCode: 3, message: "why" }),
      endedState({ ...end, exitCode: 137, lost: true, message: "why" }),
    ].map(({ terminated }) => [terminated?.reason, terminated?.message]),
    [
      ["Error", "why"],
      ["ContainerStatusUnknown", "the container ended while the node runtime was not running"],
    ],
  );
});
