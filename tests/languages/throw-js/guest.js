// Throws at the second frame: what it said has to be in the fault.

export const sessionHandler = {
  describe() {
    return { name: "throw-js", version: "0.1.0", summary: "throws", reasons: [""] };
  },
  start(_params) {},
  onFrame(_input, timing) {
    if (timing.sequence === 1n) {
      throw new Error("frame 1 is not to its taste");
    }
    return { tag: "pass" };
  },
  onParams(_params) {},
  onMessage(_text) {},
  stop(_reason) {},
};
