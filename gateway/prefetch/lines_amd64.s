// SPDX-License-Identifier: EUPL-1.2

#include "textflag.h"

// func lines(p unsafe.Pointer, n uintptr)
TEXT ·lines(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ n+8(FP), CX
	MOVQ AX, DX
	ANDQ $63, DX
	LEAQ 63(CX)(DX*1), CX
	SHRQ $6, CX // so many; an end would wrap in the last line there is
	JZ   done
next:
	PREFETCHT0 (AX)
	ADDQ $64, AX
	DECQ CX
	JNZ  next
done:
	RET
